"""The edge that does things: the controller with its inbox and thread, pools, stores and blobs.

Everything here turns effects into messages or keeps bytes. It decides nothing: rules live in `core.machine`,
and what people see lives in `views`.
"""
