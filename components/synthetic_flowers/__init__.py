"""Synthetic flowers: five species drawn by formula, told apart by form alone, as a TFDS data set of any size.

`builder.prepare` makes (or finds) the data set; `scene.draw` draws one picture; `contact_sheet` shows what they look like.
"""
