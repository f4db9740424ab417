/* A Vulkan layer for drivers without hardware: no command is recorded or run, and of every compute pipeline the driver's statistics
 * (VK_KHR_pipeline_executable_properties) become a line of JSON in the file $COMPILER_STATISTICS, with the processor time it took. */
#define _GNU_SOURCE
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <vulkan/vk_layer.h>
#include <vulkan/vulkan.h>

#define EXPORT __attribute__((visibility("default"))) VKAPI_ATTR

static PFN_vkGetInstanceProcAddr instance_next;
static PFN_vkGetDeviceProcAddr device_next;
static VkInstance the_instance;
static bool has_statistics;

#define NEXT(device, name) ((PFN_##name)device_next(device, #name))

static VKAPI_ATTR VkResult VKAPI_CALL succeed(void) { return VK_SUCCESS; }
static VKAPI_ATTR void VKAPI_CALL ignore(void) {}

static void print_value(FILE *file, const VkPipelineExecutableStatisticKHR *statistic) {
  VkPipelineExecutableStatisticValueKHR value = statistic->value;
  fprintf(file, ",\"%s\":", statistic->name);
  switch (statistic->format) {
  case VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_BOOL32_KHR: fputs(value.b32 ? "true" : "false", file); break;
  case VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_INT64_KHR: fprintf(file, "%lld", (long long)value.i64); break;
  case VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_UINT64_KHR: fprintf(file, "%llu", (unsigned long long)value.u64); break;
  default: fprintf(file, "%.17g", value.f64);
  }
}

static void print_statistics(FILE *file, VkDevice device, VkPipeline pipeline) {
  VkPipelineInfoKHR of = { VK_STRUCTURE_TYPE_PIPELINE_INFO_KHR, NULL, pipeline };
  uint32_t count = 0;
  NEXT(device, vkGetPipelineExecutablePropertiesKHR)(device, &of, &count, NULL);
  for (uint32_t i = 0; i < count; i++) {
    VkPipelineExecutableInfoKHR one = { VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_INFO_KHR, NULL, pipeline, i };
    uint32_t n = 0;
    NEXT(device, vkGetPipelineExecutableStatisticsKHR)(device, &one, &n, NULL);
    VkPipelineExecutableStatisticKHR *statistics = calloc(n, sizeof *statistics);
    for (uint32_t j = 0; j < n; j++) statistics[j].sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_STATISTIC_KHR;
    NEXT(device, vkGetPipelineExecutableStatisticsKHR)(device, &one, &n, statistics);
    fprintf(file, "%s{\"number\":%u", i ? "," : "", i);
    for (uint32_t j = 0; j < n; j++) print_value(file, &statistics[j]);
    fputc('}', file);
    free(statistics);
  }
}

static VKAPI_ATTR VkResult VKAPI_CALL create_pipelines(VkDevice device, VkPipelineCache cache, uint32_t count,
                                                       const VkComputePipelineCreateInfo *infos,
                                                       const VkAllocationCallbacks *allocator, VkPipeline *out) {
  VkResult worst = VK_SUCCESS;
  (void)cache; /* which would spare the compiler the work that is asked about */
  for (uint32_t i = 0; i < count; i++) {
    VkComputePipelineCreateInfo info = infos[i];
    if (has_statistics) info.flags |= VK_PIPELINE_CREATE_CAPTURE_STATISTICS_BIT_KHR;
    clock_t before = clock();
    VkResult result = NEXT(device, vkCreateComputePipelines)(device, VK_NULL_HANDLE, 1, &info, allocator, &out[i]);
    double ms = 1e3 * (double)(clock() - before) / CLOCKS_PER_SEC;
    if (result != VK_SUCCESS) worst = result;
    const char *path = getenv("COMPILER_STATISTICS");
    FILE *file = path ? fopen(path, "a") : NULL;
    if (!file) continue;
    fprintf(file, "{\"ms\":%.1f,\"executables\":[", ms);
    if (result == VK_SUCCESS && has_statistics) print_statistics(file, device, out[i]);
    fputs("]}\n", file);
    fclose(file);
  }
  return worst;
}

static bool offers_statistics(VkPhysicalDevice physical) {
  PFN_vkEnumerateDeviceExtensionProperties enumerate =
      (PFN_vkEnumerateDeviceExtensionProperties)instance_next(the_instance, "vkEnumerateDeviceExtensionProperties");
  uint32_t count = 0;
  enumerate(physical, NULL, &count, NULL);
  VkExtensionProperties *extensions = calloc(count, sizeof *extensions);
  enumerate(physical, NULL, &count, extensions);
  bool found = false;
  for (uint32_t i = 0; i < count; i++)
    found |= !strcmp(extensions[i].extensionName, VK_KHR_PIPELINE_EXECUTABLE_PROPERTIES_EXTENSION_NAME);
  free(extensions);
  return found;
}

static VKAPI_ATTR VkResult VKAPI_CALL create_device(VkPhysicalDevice physical, const VkDeviceCreateInfo *info,
                                                    const VkAllocationCallbacks *allocator, VkDevice *out) {
  VkLayerDeviceCreateInfo *chain = (VkLayerDeviceCreateInfo *)info->pNext;
  while (chain && (chain->sType != VK_STRUCTURE_TYPE_LOADER_DEVICE_CREATE_INFO || chain->function != VK_LAYER_LINK_INFO))
    chain = (VkLayerDeviceCreateInfo *)chain->pNext;
  if (!chain) return VK_ERROR_INITIALIZATION_FAILED;
  PFN_vkGetInstanceProcAddr next = chain->u.pLayerInfo->pfnNextGetInstanceProcAddr;
  device_next = chain->u.pLayerInfo->pfnNextGetDeviceProcAddr;
  chain->u.pLayerInfo = chain->u.pLayerInfo->pNext;

  VkDeviceCreateInfo more = *info;
  const char **names = calloc(info->enabledExtensionCount + 1, sizeof *names);
  memcpy(names, info->ppEnabledExtensionNames, info->enabledExtensionCount * sizeof *names);
  VkPhysicalDevicePipelineExecutablePropertiesFeaturesKHR feature = {
    VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PIPELINE_EXECUTABLE_PROPERTIES_FEATURES_KHR, (void *)info->pNext, VK_TRUE };
  has_statistics = offers_statistics(physical);
  if (has_statistics) {
    names[more.enabledExtensionCount++] = VK_KHR_PIPELINE_EXECUTABLE_PROPERTIES_EXTENSION_NAME;
    more.ppEnabledExtensionNames = names;
    more.pNext = &feature;
  }
  VkResult result = ((PFN_vkCreateDevice)next(the_instance, "vkCreateDevice"))(physical, &more, allocator, out);
  free(names);
  return result;
}

static VKAPI_ATTR VkResult VKAPI_CALL create_instance(const VkInstanceCreateInfo *info, const VkAllocationCallbacks *allocator,
                                                      VkInstance *out) {
  VkLayerInstanceCreateInfo *chain = (VkLayerInstanceCreateInfo *)info->pNext;
  while (chain && (chain->sType != VK_STRUCTURE_TYPE_LOADER_INSTANCE_CREATE_INFO || chain->function != VK_LAYER_LINK_INFO))
    chain = (VkLayerInstanceCreateInfo *)chain->pNext;
  if (!chain) return VK_ERROR_INITIALIZATION_FAILED;
  instance_next = chain->u.pLayerInfo->pfnNextGetInstanceProcAddr;
  chain->u.pLayerInfo = chain->u.pLayerInfo->pNext;
  VkResult result = ((PFN_vkCreateInstance)instance_next(NULL, "vkCreateInstance"))(info, allocator, out);
  if (result == VK_SUCCESS) the_instance = *out;
  return result;
}

EXPORT PFN_vkVoidFunction VKAPI_CALL vkGetDeviceProcAddr(VkDevice device, const char *name) {
  static const char *const done[] = {
    "vkBeginCommandBuffer", "vkEndCommandBuffer", "vkResetCommandBuffer", "vkResetCommandPool", "vkQueueSubmit", "vkQueueSubmit2",
    "vkQueueSubmit2KHR", "vkQueueWaitIdle", "vkDeviceWaitIdle", "vkWaitForFences", "vkGetFenceStatus", "vkResetFences",
    "vkGetQueryPoolResults", "vkWaitSemaphores", "vkWaitSemaphoresKHR",
  };
  if (!strcmp(name, "vkGetDeviceProcAddr")) return (PFN_vkVoidFunction)vkGetDeviceProcAddr;
  if (!strcmp(name, "vkCreateComputePipelines")) return (PFN_vkVoidFunction)create_pipelines;
  for (size_t i = 0; i < sizeof done / sizeof *done; i++)
    if (!strcmp(name, done[i])) return (PFN_vkVoidFunction)succeed;
  PFN_vkVoidFunction next = device_next(device, name);
  return next && !strncmp(name, "vkCmd", 5) ? (PFN_vkVoidFunction)ignore : next;
}

EXPORT PFN_vkVoidFunction VKAPI_CALL vkGetInstanceProcAddr(VkInstance instance, const char *name) {
  if (!strcmp(name, "vkGetInstanceProcAddr")) return (PFN_vkVoidFunction)vkGetInstanceProcAddr;
  if (!strcmp(name, "vkCreateInstance")) return (PFN_vkVoidFunction)create_instance;
  if (!strcmp(name, "vkCreateDevice")) return (PFN_vkVoidFunction)create_device;
  if (!strcmp(name, "vkGetDeviceProcAddr")) return (PFN_vkVoidFunction)vkGetDeviceProcAddr;
  return instance_next(instance, name);
}

EXPORT VkResult VKAPI_CALL vkNegotiateLoaderLayerInterfaceVersion(VkNegotiateLayerInterface *version) {
  version->loaderLayerInterfaceVersion = 2;
  version->pfnGetInstanceProcAddr = vkGetInstanceProcAddr;
  version->pfnGetDeviceProcAddr = vkGetDeviceProcAddr;
  version->pfnGetPhysicalDeviceProcAddr = NULL;
  return VK_SUCCESS;
}
