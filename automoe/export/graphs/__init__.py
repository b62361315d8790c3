"""ONNX graphs of a model, built node by node from its architecture: nothing is traced."""
