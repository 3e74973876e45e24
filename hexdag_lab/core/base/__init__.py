"""What everything else stands on: errors, canonical bytes, the Merkle map, the heap, the codec."""
