"""The regressors that come with AutoMoE, one file each; see `automoe.predictor.regressor`."""
