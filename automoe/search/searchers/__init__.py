"""The searchers that come with AutoMoE, one file each; `automoe.search.searcher` finds them by name."""
