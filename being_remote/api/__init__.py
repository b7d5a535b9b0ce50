"""The functions that notebooks and scripts call: `import being_remote`.

They do what the commands of the same name do, with values in place of options. A name or a list of names,
a `str` or a `Path` are all taken; anything else is refused with a sentence.
"""
