"""An OsiriX for people without one: a gRPC server of the published osirixgrpc service, and a scripted clinician.

Behaviour follows the plugin's source and, for what OsiriX itself does, the open fork Horos; docs/reference lists
what is modelled. Shares no geometry or pixel code with the client: a mistake made in both would cancel out.
"""
