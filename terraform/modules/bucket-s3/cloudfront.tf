resource "aws_cloudfront_origin_access_control" "this" {
  count                             = var.cloudfront == null ? 0 : 1
  name                              = var.name
  description                       = "Reads the blobs of entrepot"
  origin_access_control_origin_type = "s3"
  signing_behavior                  = "always"
  signing_protocol                  = "sigv4"
}

resource "aws_cloudfront_public_key" "this" {
  count       = var.cloudfront == null ? 0 : 1
  name_prefix = "${var.name}-"
  encoded_key = var.cloudfront.public_key_pem

  # Keys are immutable, and cannot be deleted while a key group contains them.
  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_cloudfront_key_group" "this" {
  count = var.cloudfront == null ? 0 : 1
  name  = var.name
  items = [aws_cloudfront_public_key.this[0].id]
}

# This policy caches objects by path and does not forward the query, which has CloudFront's own signature.
data "aws_cloudfront_cache_policy" "this" {
  count = var.cloudfront == null ? 0 : 1
  name  = "Managed-CachingOptimized"
}

resource "aws_cloudfront_distribution" "this" {
  count           = var.cloudfront == null ? 0 : 1
  comment         = "Blobs of entrepot in ${var.name}"
  enabled         = true
  is_ipv6_enabled = true
  http_version    = "http2and3"
  price_class     = var.cloudfront.price_class
  aliases         = var.cloudfront.aliases
  tags            = var.tags

  origin {
    origin_id                = "bucket"
    domain_name              = aws_s3_bucket.this.bucket_regional_domain_name
    origin_access_control_id = aws_cloudfront_origin_access_control.this[0].id
  }

  default_cache_behavior {
    target_origin_id       = "bucket"
    viewer_protocol_policy = "https-only"
    allowed_methods        = ["GET", "HEAD"]
    cached_methods         = ["GET", "HEAD"]
    compress               = false
    cache_policy_id        = data.aws_cloudfront_cache_policy.this[0].id
    trusted_key_groups     = [aws_cloudfront_key_group.this[0].id]
  }

  restrictions {
    geo_restriction {
      restriction_type = "none"
    }
  }

  viewer_certificate {
    cloudfront_default_certificate = var.cloudfront.certificate_arn == null
    acm_certificate_arn            = var.cloudfront.certificate_arn
    minimum_protocol_version       = var.cloudfront.certificate_arn == null ? "TLSv1" : "TLSv1.2_2021"
    ssl_support_method             = var.cloudfront.certificate_arn == null ? null : "sni-only"
  }
}
