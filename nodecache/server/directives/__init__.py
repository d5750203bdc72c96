"""The directives of a block, one file or folder each; a folder's code is imported only where a Corefile names it."""
