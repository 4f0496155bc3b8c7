output "store" {
  description = "The parameter `store` of the pipeline."
  value       = "gs://${google_storage_bucket.store.name}/store"
}

output "pipeline_root" {
  description = "--pipeline-root of `xlnet pipeline submit`."
  value       = "gs://${google_storage_bucket.scratch.name}/root"
}

output "temp_location" {
  description = "--temp_location of the Beam job."
  value       = "gs://${google_storage_bucket.scratch.name}/temp"
}

output "images" {
  description = "REGISTRY of the images."
  value       = "${var.region}-docker.pkg.dev/${var.project}/${google_artifact_registry_repository.images.repository_id}"
}

output "worker" {
  description = "--service_account_email of the Beam job."
  value       = google_service_account.worker.email
}
