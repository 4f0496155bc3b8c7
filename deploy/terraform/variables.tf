variable "project" {
  description = "The project that pays."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project))
    error_message = "A project's id has 6 to 30 letters, digits and hyphens."
  }
}

variable "region" {
  description = "Where buckets, images and Dataflow's workers are: one place, so that no byte travels for money."
  type        = string
  default     = "europe-west4"
}

variable "namespace" {
  description = "The Kubernetes namespace of the pipeline."
  type        = string
  default     = "xlnet"
}

variable "work_days" {
  description = "Days that unfinished work, data sets and checkpoints are kept."
  type        = number
  default     = 30
}

variable "root_days" {
  description = "Days that Kubeflow's small outputs are kept; the cache finds nothing older."
  type        = number
  default     = 90
}
