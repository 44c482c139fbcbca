"""Texturing of a mesh from photos, after Waechter, Moehrle and Goesele, "Let There Be Color!
Large-Scale Texturing of 3D Reconstructions" (ECCV 2014).

Read in this order: `candidates` (which photo sees which face, how well), `outliers` (photos that
disagree), `labels` (one photo a face, smooth), `charts` (connected faces of one photo), `layout`,
`packing` and `atlas` (patches of the photos side by side in one image), `levelling` and `seams` (no
jump of brightness where two photos meet), `loose`, `cells` and `unseen` (faces of charts too small
for a patch, and those that no photo saw). `painter` calls them in turn.
"""
