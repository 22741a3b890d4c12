// Nothing is built of it: the custom resource definitions are in the module.
module portcullis/tests/deploy/tools/prometheus-operator

go 1.24

require github.com/prometheus-operator/prometheus-operator v0.85.0
