"""The lab's small vision-language testbed: drawn scenes with questions, a mixture-of-experts model, official data formats."""
