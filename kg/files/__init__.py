"""Law roots on disk: read, check against the models, cache, lock, and write; one engine for every file written.

Read: yaml_reader, yaml_scalars (what a word means, how a value is spelled). Load: root, loader, cache; validate, schema,
references. Write: tree, tree_reader (a file with its comments), fmt (order and layout), atomic, lock; on top of
them scaffold, edit, grow (git: what is committed), merge.
"""
