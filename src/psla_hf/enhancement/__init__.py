"""The L of PSLA: labels that annotators missed, found by a teacher and an ontology."""
