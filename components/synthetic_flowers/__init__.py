"""Synthetic flowers: five species drawn by formula, which differ only in form, as a TFDS data set of any size.

`builder.prepare` makes (or finds) the data set; `scene.draw` draws one picture; `contact_sheet` shows what they look like.
"""
