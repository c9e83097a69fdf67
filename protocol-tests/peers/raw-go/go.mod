module kferry/peers/raw-go

go 1.25.0
