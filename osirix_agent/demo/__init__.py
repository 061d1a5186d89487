"""The main job, shown: a virtual OsiriX, a scripted clinician, the agent between them."""
