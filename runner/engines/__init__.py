"""What a trained model is exported to and run by: ONNX Runtime, OpenVINO, CTranslate2, transformers.

`trained` gives a stored run's model back, `writing` puts it into a folder, `parity` scores that folder in
its engine. The other modules run a folder and import neither torch, nor transformers, nor ray.
"""
