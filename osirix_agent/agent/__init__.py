"""The session: what the clinician did, what the agent proposes, and what should be in the viewer."""
