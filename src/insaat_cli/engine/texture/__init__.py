"""Texturing of a mesh from photos, after Waechter, Moehrle and Goesele, "Let There Be Color!
Large-Scale Texturing of 3D Reconstructions" (ECCV 2014).

Read in this order: `candidates` (which photo sees which face, how well), `outliers` (photos that
disagree), `labels` (one photo a face, smooth), `charts` (connected faces of one photo), `packing`
and `atlas` (patches of the photos side by side in one image), `levelling` and `seams` (no jump of
brightness where two photos meet), `unseen` (faces that no photo saw). `painter` calls them in turn.
"""
