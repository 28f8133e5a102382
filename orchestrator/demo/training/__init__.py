"""Training of the demonstration models on drawn portraits. Needs PyTorch, which tagdesk itself does not.

pip install torch==2.13.0 onnxscript
python -m orchestrator.demo.training --help
"""
