"""From arguments to a row's entry, and from a row to its instance (DESIGN section 5)."""

from __future__ import annotations

from provers.mutation.mutant import Mutant

__all__ = ["MUTANTS"]

DIRECT = "tests/queries/test_direct.py"
HYDRATION = "tests/queries/test_hydration.py"
VALUES = f"{DIRECT}::test_any_value_of_any_field"
MANAGERS = f"{DIRECT}::test_managers_of_their_own"
REPLACED = f"{DIRECT}::test_something_put_in_the_place_of_get"
SAID = f"{DIRECT}::test_querysets_of_which_something_is_said"
CLASSES = f"{HYDRATION}::test_classes_of_their_own"

MUTANTS = [
    # Which arguments
    Mutant(
        rule="a name that ends in underscores is no field",
        file="direct.py",
        old="    if follows and not (",
        new="    if beyond and not (",
        tests=VALUES,
    ),
    Mutant(
        rule="what follows a field's name is the column that it points to",
        file="direct.py",
        old="    if follows and not (field.is_relation and field.target_field.name == beyond):\n        return None\n",
        new="",
        tests=VALUES,
    ),
    # Who stands between
    Mutant(
        rule="a manager's own get_queryset() is asked",
        file="direct.py",
        old='    return all(each in (own, BaseManager) for each in lineage if "get_queryset" in vars(each)) and all(',
        new="    return all(",
        tests=MANAGERS,
    ),
    Mutant(
        rule="a get() that another manager class has is asked",
        file="direct.py",
        old='        issubclass(Manager, each) for each in beyond if "get" in vars(each)',
        new="        True for each in beyond",
        tests=MANAGERS,
    ),
    Mutant(
        rule="a get() that the queryset class has is asked",
        file="direct.py",
        old=" or kind.get is not queryset_get or _attributes(kind, model) is None:",
        new=" or _attributes(kind, model) is None:",
        tests=f"{MANAGERS} {REPLACED}",
    ),
    Mutant(
        rule="a queryset class that reads in a way of its own is asked",
        file="direct.py",
        old="    if any((vars(each).keys() & vars(QuerySet).keys()) - _OWN_BUSINESS for each in above):\n"
        "        return None\n",
        new="",
        tests=MANAGERS,
    ),
    Mutant(
        rule="a queryset class that finds its attributes in a way of its own is asked",
        file="direct.py",
        old="    if any(name in vars(each) for each in above for name in ways):\n        return None\n",
        new="",
        tests=MANAGERS,
    ),
    Mutant(
        rule="what is put in the place of a manager's get_queryset() is asked",
        file="direct.py",
        old=' or not _is_bare(manager.__class__, own) or "get_queryset" in vars(manager):',
        new=" or not _is_bare(manager.__class__, own):",
        tests=REPLACED,
    ),
    Mutant(
        rule="what is put in the place of every manager's get_queryset() is asked",
        file="direct.py",
        old="    if BaseManager.get_queryset is not _by_manager or kind.get",
        new="    if kind.get",
        tests=REPLACED,
    ),
    Mutant(
        rule="a descriptor's own get_queryset() is asked",
        file="direct.py",
        old="    if type(descriptor).get_queryset is not _by_descriptor or ",
        new="    if ",
        tests=f"{DIRECT}::test_descriptor_of_somebody_else {REPLACED}",
    ),
    Mutant(
        rule="a base manager of its own is asked",
        file="direct.py",
        old="    if type(manager) is not Manager or ",
        new="    if ",
        tests=f"{DIRECT}::test_base_managers_of_their_own",
    ),
    Mutant(
        rule="what is said of a queryset counts",
        file="direct.py",
        old="    return expected == held and type(query) is Query and vars(query) in known[1]",
        new="    return type(query) is Query and vars(query) in known[1]",
        tests=SAID,
    ),
    Mutant(
        rule="what its query says counts",
        file="direct.py",
        old="    return expected == held and type(query) is Query and vars(query) in known[1]",
        new="    return expected == held and type(query) is Query",
        tests=SAID,
    ),
    Mutant(
        rule="a router hears which instance leads to the row",
        file="direct.py",
        old="    using = router.db_for_read(model, instance=instance)",
        new="    using = router.db_for_read(model)",
        tests=f"{DIRECT}::test_routers",
    ),
    Mutant(
        rule="a manager's hints reach the router",
        file="direct.py",
        old="router.db_for_read(model, **manager._hints)",
        new="router.db_for_read(model)",
        tests=f"{DIRECT}::test_routers",
    ),
    Mutant(
        rule="two rows are too many",
        file="direct.py",
        old="    if len(answer.value) > 1:",
        new="    if len(answer.value) > MAX_GET_RESULTS:",
        tests=f"{DIRECT}::test_unique_columns_that_are_not",
    ),
    Mutant(
        rule="a failure to find the way is not remembered",
        file="direct.py",
        old="            return None\n    return found[0]\n",
        new="            found = roads[place] = (None,)\n    return found[0]\n",
        tests=f"{DIRECT}::test_a_failure_is_not_remembered",
    ),
    # Instances
    Mutant(
        rule="signals are sent to who listens",
        file="queries/hydration.py",
        old="        and not pre_init.has_listeners(model)\n        and not post_init.has_listeners(model)\n",
        new="",
        tests=f"{HYDRATION}::test_signals",
    ),
    Mutant(
        rule="a method replaced for a while is called",
        file="queries/hydration.py",
        old='        and model.__init__ is _init\n        and getattr(model.from_db, "__func__", None) is _from_db\n',
        new="",
        tests=f"{HYDRATION}::test_methods_replaced_for_a_while {CLASSES}",
    ),
    *(
        Mutant(rule=rule, file="queries/hydration.py", old=old, new="", tests=CLASSES)
        for rule, old in {
            "a metaclass is called": "        type(model).__call__ is ModelBase.__call__"
            " is type.__call__\n        and ",
            "a class's own __new__ is called": "        and model.__new__ is object.__new__\n",
            "a class's own __setattr__ is called": "        and model.__setattr__ is object.__setattr__\n",
            "a class's own __getattribute__ is called": "        and "
            "model.__getattribute__ is object.__getattribute__\n",
            "a mixin after Model is made": '        and not any("__init__" in vars(base) for base in'
            " model.__mro__[at + 1 : -1])\n",
            "a descriptor is set": "        and all("
            "type(_static(model, field.attname)) in _PLAIN_ATTRIBUTES"
            " for field in model._meta.concrete_fields)\n",
        }.items()
    ),
    Mutant(
        rule="an instance's state is as Django leaves it",
        file="queries/hydration.py",
        old="            state.fields_cache = {}\n",
        new="            pass\n",
        tests=f"{HYDRATION}::test_same_as_plain",
    ),
    Mutant(
        rule="columns are converted as Django does",
        file="queries/hydration.py",
        old="                    row[at] = convert(row[at], expression, connection)\n",
        new="                    pass\n",
        tests=f"{HYDRATION}::test_same_as_plain",
    ),
]
