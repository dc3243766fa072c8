using System.Text.Json;
using System.Text.Json.Serialization;
using Cnvm.Vmm;
using Cnvm.Vmm.Config;
using Cnvm.Vmm.Migration;
using Cnvm.Vmm.Requests;

namespace Cnvm.Api.Json;

/// <summary>
/// The contract's JSON: keys in snake_case, absent instead of null on output, unknown keys ignored, ASCII (the default encoder escapes
/// everything else).
/// </summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    RespectNullableAnnotations = true,
    Converters =
    [
        typeof(ExactEnumConverter<VmState>), typeof(ExactEnumConverter<CoreScheduling>),
        typeof(ExactEnumConverter<FsCache>), typeof(ExactEnumConverter<HotplugMethod>), typeof(ExactEnumConverter<ImageType>), typeof(ExactEnumConverter<LockGranularity>),
        typeof(ExactEnumConverter<VhostMode>), typeof(ExactEnumConverter<ConsoleMode>), typeof(MachineProfileConverter),
        typeof(ExactEnumConverter<MemoryRestoreMode>), typeof(ExactEnumConverter<ClockRestoreMode>),
        typeof(ExactEnumConverter<MigrationMode>), typeof(ExactEnumConverter<TimeoutStrategy>),
        typeof(ExactEnumConverter<MigrationCompression>), typeof(ExactEnumConverter<MigrationSide>),
        typeof(ExactEnumConverter<MigrationPhase>), typeof(ExactEnumConverter<GuestPlace>),
    ])]
[JsonSerializable(typeof(VmConfig))]
[JsonSerializable(typeof(VmInfo))]
[JsonSerializable(typeof(VmSavedState))]
[JsonSerializable(typeof(VmmPing))]
[JsonSerializable(typeof(EventPage))]
[JsonSerializable(typeof(PciDeviceInfo))]
[JsonSerializable(typeof(VmResize))]
[JsonSerializable(typeof(VmResizeDisk))]
[JsonSerializable(typeof(VmResizeZone))]
[JsonSerializable(typeof(VmRemoveDevice))]
[JsonSerializable(typeof(VmSnapshotConfig))]
[JsonSerializable(typeof(VmCoredumpData))]
[JsonSerializable(typeof(RestoreConfig))]
[JsonSerializable(typeof(SendMigrationData))]
[JsonSerializable(typeof(ReceiveMigrationData))]
[JsonSerializable(typeof(MigrationInfo))]
[JsonSerializable(typeof(MigrationSettings))]
[JsonSerializable(typeof(string[]))]
[JsonSerializable(typeof(IReadOnlyDictionary<string, IReadOnlyDictionary<string, ulong>>), TypeInfoPropertyName = "Counters")]
internal sealed partial class ApiJsonContext : JsonSerializerContext;
