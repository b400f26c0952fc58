"""Why a build hangs: from what was recorded around it to ten lines and a timeline."""
