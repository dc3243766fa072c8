using System.Text.Json.Serialization;

namespace Cnvm.Api.Registry;

/// <summary>The JSON of entries.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, RespectNullableAnnotations = true)]
[JsonSerializable(typeof(VmEntry))]
internal sealed partial class RegistryJsonContext : JsonSerializerContext;
