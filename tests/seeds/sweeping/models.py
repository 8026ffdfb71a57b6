"""The articles, comments and votes of cache-sweeper's README."""

from __future__ import annotations

from django.db import models

from everfresh.compat.cachesweeper.models import ModelSweeper


class Topic(ModelSweeper, models.Model):
    name = models.CharField(max_length=30)


class Article(ModelSweeper, models.Model):
    title = models.CharField(max_length=30)
    topics = models.ManyToManyField(Topic, related_name="articles")

    class Sweeper:
        parents = ["topics"]

    def __str__(self) -> str:
        return self.title


class Comment(ModelSweeper, models.Model):
    article = models.ForeignKey(Article, models.CASCADE, related_name="comments")
    text = models.CharField(max_length=30)
    reply_to = models.ForeignKey("self", models.CASCADE, null=True, related_name="replies")

    class Sweeper:
        parents = ["article", "reply_to"]

    def __str__(self) -> str:
        return self.text


class Vote(ModelSweeper, models.Model):
    comment = models.ForeignKey(Comment, models.CASCADE)
    points = models.IntegerField(default=1)

    class Sweeper:
        parents = ["comment"]


class PlainVote(models.Model):
    """Its signals are wired by hand."""

    comment = models.ForeignKey(Comment, models.CASCADE)


class Dated(ModelSweeper, models.Model):
    """Takes its versions of an attribute."""

    text = models.CharField(max_length=30)
    updated = models.IntegerField(default=0)

    class Sweeper:
        using = "updated"
