module portcullis.example/greeter

go 1.24
