"""What rankings say of full fine-tuning."""
