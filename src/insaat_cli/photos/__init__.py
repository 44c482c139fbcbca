"""From a folder to a checked photo set: headers, masks, frames of a video."""
