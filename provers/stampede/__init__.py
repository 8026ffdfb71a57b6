"""Many threads of many processes want one slow result at one moment: how often is it computed, and who waits?"""
