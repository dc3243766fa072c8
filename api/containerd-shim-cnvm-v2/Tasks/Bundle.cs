using System.Globalization;
using System.Text.Json;
using Cnvm.Shim.Config;

namespace Cnvm.Shim.Tasks;

/// <summary>What the shim itself needs of a container's OCI configuration, <c>config.json</c> in its bundle.</summary>
internal sealed record Bundle
{
    /// <summary>Bytes; what people write has kilobytes.</summary>
    private const int MostBytes = 4 << 20;

    private const string CriType = "io.kubernetes.cri.container-type";
    private const string CriSandbox = "io.kubernetes.cri.sandbox-id";
    private const string CrioType = "io.kubernetes.cri-o.ContainerType";
    private const string CrioSandbox = "io.kubernetes.cri-o.SandboxID";
    private const string CriMemory = "io.kubernetes.cri.sandbox-memory";
    private const string CriPeriod = "io.kubernetes.cri.sandbox-cpu-period";
    private const string CriQuota = "io.kubernetes.cri.sandbox-cpu-quota";

    /// <summary>The whole configuration.</summary>
    public required ReadOnlyMemory<byte> Spec { get; init; }

    /// <summary>The pod that the container joins; null if it has a sandbox of its own, or is a pod's first.</summary>
    public string? PodId { get; init; }

    public string RootPath { get; init; } = "";

    public string HostName { get; init; } = "";

    /// <summary>Control group on the host, as runc takes it; empty for none.</summary>
    public string CgroupsPath { get; init; } = "";

    /// <summary>Path of the network namespace; null if none is named.</summary>
    public string? NetworkNamespace { get; init; }

    /// <summary>Bytes that the containers may use in all; 0 if nothing is said.</summary>
    public ulong MemoryLimit { get; init; }

    /// <summary>Processors that the containers may use in all, rounded up; 0 if nothing is said.</summary>
    public int Cpus { get; init; }

    /// <summary>For /proc/PID/oom_score_adj; null if nothing is said.</summary>
    public int? OutOfMemoryScore { get; init; }

    /// <exception cref="ShimException">There is no configuration, or it is none.</exception>
    public static Bundle Load(string directory)
    {
        string path = Path.Combine(directory, "config.json");
        try
        {
            using FileStream file = File.OpenRead(path);
            if (file.Length > MostBytes)
            {
                throw new ShimException($"{path} has {file.Length} bytes; a container's configuration has at most {MostBytes}");
            }

            byte[] bytes = new byte[file.Length];
            file.ReadExactly(bytes);
            return Parse(bytes);
        }
        catch (Exception e) when (e is JsonException or IOException or UnauthorizedAccessException or InvalidOperationException or FormatException)
        {
            throw new ShimException($"{path}: {e.Message}", e);
        }
    }

    /// <exception cref="JsonException">It is no JSON.</exception>
    /// <exception cref="InvalidOperationException">A member has another type than OCI gives it.</exception>
    /// <exception cref="FormatException">A number is out of its range.</exception>
    public static Bundle Parse(ReadOnlyMemory<byte> spec)
    {
        using JsonDocument document = JsonDocument.Parse(spec);
        JsonElement root = document.RootElement;
        JsonElement linux = Member(root, "linux");
        JsonElement resources = Member(linux, "resources");
        JsonElement cpu = Member(resources, "cpu");
        JsonElement annotations = Member(root, "annotations");
        (string type, string id) = Text(annotations, CriType) is { Length: > 0 } cri
            ? (cri, Text(annotations, CriSandbox))
            : (Text(annotations, CrioType), Text(annotations, CrioSandbox));
        long memory = Number(annotations, CriMemory) ?? Integer(Member(resources, "memory"), "limit") ?? 0;
        long quota = Number(annotations, CriQuota) ?? Integer(cpu, "quota") ?? 0;
        long period = Number(annotations, CriPeriod) ?? Integer(cpu, "period") ?? 0;
        long score = Integer(Member(root, "process"), "oomScoreAdj") ?? long.MinValue;
        return new Bundle
        {
            Spec = spec,
            PodId = type != "container" ? null : id.Length > 0 ? id : throw new FormatException($"{type} of a pod without {CriSandbox}"),
            RootPath = Text(Member(root, "root"), "path"),
            HostName = Text(root, "hostname"),
            CgroupsPath = Text(linux, "cgroupsPath"),
            NetworkNamespace = NetworkOf(linux),
            MemoryLimit = memory > 0 ? (ulong)memory : 0,
            Cpus = quota > 0 && period > 0 ? (int)Math.Min(((quota - 1) / period) + 1, ShimConfig.MostCpus) : 0,
            OutOfMemoryScore = score is >= -1000 and <= 1000 ? (int)score : null,
        };
    }

    private static string? NetworkOf(JsonElement linux)
    {
        JsonElement namespaces = Member(linux, "namespaces");
        if (namespaces.ValueKind == JsonValueKind.Array)
        {
            foreach (JsonElement entry in namespaces.EnumerateArray())
            {
                if (Text(entry, "type") == "network" && Text(entry, "path") is { Length: > 0 } path)
                {
                    return path;
                }
            }
        }

        return null;
    }

    private static JsonElement Member(JsonElement parent, string name) =>
        parent.ValueKind == JsonValueKind.Object && parent.TryGetProperty(name, out JsonElement value) ? value : default;

    private static string Text(JsonElement parent, string name) =>
        Member(parent, name) is { ValueKind: not (JsonValueKind.Undefined or JsonValueKind.Null) } value ? value.GetString()! : "";

    private static long? Integer(JsonElement parent, string name) =>
        Member(parent, name) is { ValueKind: not (JsonValueKind.Undefined or JsonValueKind.Null) } value ? value.GetInt64() : null;

    private static long? Number(JsonElement annotations, string name) =>
        Text(annotations, name) is not { Length: > 0 } text ? null
        : long.TryParse(text, CultureInfo.InvariantCulture, out long number) ? number
        : throw new FormatException($"annotation {name}: '{text}' is no number, or too large");
}
