# The module with a network that the same apply creates, so that its IDs are unknown in the plan. terraform_data replaces
# the network's resources, since the plan knows the IDs of mocks.
resource "terraform_data" "vpc" {
  input = "vpc-1"
}

resource "terraform_data" "subnet" {
  count = 2
  input = "subnet-${count.index}"
}

resource "terraform_data" "route_table" {
  count = 2
  input = "rtb-${count.index}"
}

module "mirror" {
  source = "../.."

  name                = "mirror"
  image               = "registry.example.com/entrepot:1.0.0"
  vpc_id              = terraform_data.vpc.output
  task_subnet_ids     = terraform_data.subnet[*].output
  balancer_subnet_ids = terraform_data.subnet[*].output
  route_table_ids     = terraform_data.route_table[*].output
  allowed_cidrs       = ["10.0.0.0/8"]
  policy_json         = "{\"Version\":\"2012-10-17\",\"Statement\":[]}"
  environment         = { ENTREPOT_STORE = "s3://images" }
}
