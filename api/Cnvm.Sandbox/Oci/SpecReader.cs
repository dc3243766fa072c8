using System.Text.Json;
using Cnvm.Agent.Protocol;

namespace Cnvm.Sandbox.Oci;

/// <summary>Reads the JSON of the OCI runtime specification (config.md, config-linux.md) as the messages that the agent takes. Names that are not known mean nothing.</summary>
internal static partial class SpecReader
{
    private const int MaxBytes = 4 << 20;

    /// <summary>A bundle's config.json.</summary>
    /// <exception cref="SandboxException">It is none.</exception>
    public static Spec Read(ReadOnlyMemory<byte> json) => Parse(json, "config.json", ReadSpec);

    /// <summary>The object <c>process</c>.</summary>
    /// <inheritdoc cref="Read"/>
    public static Process ReadProcess(ReadOnlyMemory<byte> json) => Parse(json, "process", static e => ReadProcess(new JsonObjectReader(e, "process")));

    /// <summary>The object <c>linux.resources</c>.</summary>
    /// <inheritdoc cref="Read"/>
    public static LinuxResources ReadResources(ReadOnlyMemory<byte> json) =>
        Parse(json, "resources", static e => ReadResources(new JsonObjectReader(e, "resources")));

    private static T Parse<T>(ReadOnlyMemory<byte> json, string what, Func<JsonElement, T> read)
    {
        if (json.Length > MaxBytes)
        {
            throw new SandboxException(SandboxErrorKind.Invalid, $"{what} has {json.Length} bytes; at most {MaxBytes} are read");
        }

        try
        {
            using JsonDocument document = JsonDocument.Parse(json);
            return read(document.RootElement);
        }
        catch (Exception e) when (e is JsonException or FormatException or InvalidOperationException)
        {
            throw new SandboxException(SandboxErrorKind.Invalid, $"{what} is not what the OCI runtime specification says: {e.Message}", e);
        }
    }

    private static Spec ReadSpec(JsonElement element)
    {
        var o = new JsonObjectReader(element, "config.json");
        return new Spec
        {
            Version = o.Text("ociVersion"),
            Process = o.Object("process", ReadProcess),
            Root = o.Object("root", static r => new Root { Path = r.Text("path"), Readonly = r.Flag("readonly") }),
            Hostname = o.Text("hostname"),
            Mounts = o.Objects("mounts", static m => new Mount
            {
                Destination = m.Text("destination"), Source = m.Text("source"), Type = m.Text("type"), Options = m.Texts("options"),
            }),
            Hooks = o.Object("hooks", ReadHooks),
            Annotations = o.Map("annotations"),
            Linux = o.Object("linux", ReadLinux),
        };
    }

    private static Process ReadProcess(JsonObjectReader o) => new()
    {
        Terminal = o.Flag("terminal"),
        ConsoleSize = o.Object("consoleSize", static b => new Box { Height = b.UInt("height"), Width = b.UInt("width") }),
        User = o.Object("user", static u => new User
        {
            UID = u.UInt("uid"), GID = u.UInt("gid"), AdditionalGids = u.UInts("additionalGids"), Username = u.Text("username"),
        }) ?? new User(),
        Args = o.Texts("args"),
        Env = o.Texts("env"),
        Cwd = o.Text("cwd"),
        Capabilities = o.Object("capabilities", static c => new LinuxCapabilities
        {
            Bounding = c.Texts("bounding"), Effective = c.Texts("effective"), Inheritable = c.Texts("inheritable"),
            Permitted = c.Texts("permitted"), Ambient = c.Texts("ambient"),
        }),
        Rlimits = o.Objects("rlimits", static r => new POSIXRlimit { Type = r.Text("type"), Hard = r.ULong("hard"), Soft = r.ULong("soft") }),
        NoNewPrivileges = o.Flag("noNewPrivileges"),
        ApparmorProfile = o.Text("apparmorProfile"),
        OOMScoreAdj = o.Long("oomScoreAdj"),
        SelinuxLabel = o.Text("selinuxLabel"),
    };

    private static Hooks ReadHooks(JsonObjectReader o) => new()
    {
        Prestart = o.Objects("prestart", ReadHook), Poststart = o.Objects("poststart", ReadHook), Poststop = o.Objects("poststop", ReadHook),
    };

    private static Hook ReadHook(JsonObjectReader o) => new()
    {
        Path = o.Text("path"), Args = o.Texts("args"), Env = o.Texts("env"), Timeout = o.Long("timeout"),
    };
}
