//! The ports on AWS: Kinesis, DynamoDB, S3, SNS, SQS and API Gateway's websockets.
