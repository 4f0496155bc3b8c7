# Buckets, identities and the image registry of the retraining pipeline.

resource "google_storage_bucket" "store" {
  name                        = "${var.project}-xlnet-store"
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"

  versioning {
    enabled = true # champion.json is replaced: the ones before stay readable
  }

  lifecycle_rule {
    condition {
      age            = var.work_days
      matches_prefix = ["store/work/"]
    }
    action {
      type = "Delete"
    }
  }

  lifecycle_rule {
    condition {
      num_newer_versions         = 20
      days_since_noncurrent_time = 30
    }
    action {
      type = "Delete"
    }
  }

  lifecycle_rule {
    condition {
      age = 1
    }
    action {
      type = "AbortIncompleteMultipartUpload"
    }
  }
}

# The texts: written by who owns them, read by the pipeline.
resource "google_storage_bucket" "corpus" {
  name                        = "${var.project}-xlnet-corpus"
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
}

# Kubeflow's pipeline root and Dataflow's temporary files: nothing that anybody will miss.
resource "google_storage_bucket" "scratch" {
  name                        = "${var.project}-xlnet-scratch"
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"

  lifecycle_rule {
    condition {
      age            = var.root_days
      matches_prefix = ["root/"]
    }
    action {
      type = "Delete"
    }
  }

  lifecycle_rule {
    condition {
      age            = 14
      matches_prefix = ["temp/"]
    }
    action {
      type = "Delete"
    }
  }
}

resource "google_artifact_registry_repository" "images" {
  repository_id = "xlnet"
  location      = var.region
  format        = "DOCKER"

  cleanup_policies {
    id     = "untagged"
    action = "DELETE"
    condition {
      tag_state  = "UNTAGGED"
      older_than = "7776000s" # 90 days: lineages name images by digest
    }
  }
}

resource "google_service_account" "pipeline" {
  account_id   = "xlnet-pipeline"
  display_name = "Steps of the retraining pipeline"
}

resource "google_service_account" "worker" {
  account_id   = "xlnet-dataflow-worker"
  display_name = "Dataflow's workers of the preprocessing job"
}

resource "google_service_account" "serving" {
  account_id   = "xlnet-serving"
  display_name = "Model servers"
}

# Steps and workers write to the store and to scratch, and read the texts.
resource "google_storage_bucket_iam_member" "writes" {
  for_each = {
    for pair in setproduct(["pipeline", "worker"], ["store", "scratch"]) : join("-", pair) => pair
  }
  bucket = each.value[1] == "store" ? google_storage_bucket.store.name : google_storage_bucket.scratch.name
  role   = "roles/storage.objectUser"
  member = each.value[0] == "pipeline" ? google_service_account.pipeline.member : google_service_account.worker.member
}

resource "google_storage_bucket_iam_member" "reads_texts" {
  for_each = {
    pipeline = google_service_account.pipeline.member
    worker   = google_service_account.worker.member
  }
  bucket = google_storage_bucket.corpus.name
  role   = "roles/storage.objectViewer"
  member = each.value
}

# Beam asks for the bucket itself before it stages a job.
resource "google_storage_bucket_iam_member" "sees_scratch" {
  bucket = google_storage_bucket.scratch.name
  role   = "roles/storage.legacyBucketReader"
  member = google_service_account.pipeline.member
}

# Model servers read pushed versions and nothing else.
resource "google_storage_bucket_iam_member" "serves" {
  bucket = google_storage_bucket.store.name
  role   = "roles/storage.objectViewer"
  member = google_service_account.serving.member

  condition {
    title = "versions"
    # Listing is asked of the bucket, reading of an object.
    expression = <<-EOT
      resource.type == "storage.googleapis.com/Bucket" ||
      resource.name.startsWith("projects/_/buckets/${google_storage_bucket.store.name}/objects/store/versions/")
    EOT
  }
}

# A step launches, finds and cancels Dataflow's jobs, which run as the worker.
resource "google_project_iam_member" "launches" {
  project = var.project
  role    = "roles/dataflow.developer"
  member  = google_service_account.pipeline.member
}

resource "google_service_account_iam_member" "acts_as_worker" {
  service_account_id = google_service_account.worker.name
  role               = "roles/iam.serviceAccountUser"
  member             = google_service_account.pipeline.member
}

resource "google_project_iam_member" "works" {
  project = var.project
  role    = "roles/dataflow.worker"
  member  = google_service_account.worker.member
}

resource "google_artifact_registry_repository_iam_member" "pulls" {
  location   = var.region
  repository = google_artifact_registry_repository.images.name
  role       = "roles/artifactregistry.reader"
  member     = google_service_account.worker.member
}

# The Kubernetes service accounts of deploy/kustomize speak for the Google ones.
resource "google_service_account_iam_member" "workload_identity" {
  for_each = {
    xlnet-pipeline = google_service_account.pipeline.name
    xlnet-serving  = google_service_account.serving.name
  }
  service_account_id = each.value
  role               = "roles/iam.workloadIdentityUser"
  member             = "serviceAccount:${var.project}.svc.id.goog[${var.namespace}/${each.key}]"
}
