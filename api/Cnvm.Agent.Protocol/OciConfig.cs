using System.Text.Json;
using Cnvm.Agent.Protocol.Json;

namespace Cnvm.Agent.Protocol;

/// <summary>
/// Makes messages of JSON with the names of the OCI runtime specification 1.1. Members that the messages have no place for are ignored, as the
/// specification wants it for unknown ones; whether the rest makes sense is for who runs it to say. The JSON may be hostile.
/// </summary>
public static class OciConfig
{
    /// <summary>The longest JSON that is read, in bytes: what is longer would fit into no message to the agent.</summary>
    public const int MaxBytes = 4 << 20;

    private const int MaxDepth = 32;

    /// <summary>A container's configuration from the contents of config.json.</summary>
    /// <exception cref="OciConfigException">It is no JSON, or a member has another type than it should.</exception>
    public static Spec ReadSpec(ReadOnlyMemory<byte> json) => Read(json, Spec);

    /// <summary>A process alone, as containerd has it in an <c>Exec</c> request.</summary>
    /// <exception cref="OciConfigException">It is no JSON, or a member has another type than it should.</exception>
    public static Process ReadProcess(ReadOnlyMemory<byte> json) => Read(json, Process);

    /// <summary>Limits alone, as containerd has them in an <c>Update</c> request.</summary>
    /// <exception cref="OciConfigException">It is no JSON, or a member has another type than it should.</exception>
    public static LinuxResources ReadResources(ReadOnlyMemory<byte> json) => Read(json, OciResources.Read);

    private static T Read<T>(ReadOnlyMemory<byte> json, Func<OciNode, T> read)
    {
        if (json.Length > MaxBytes)
        {
            throw new OciConfigException($"configuration: it has {json.Length} bytes, and {MaxBytes} are the most that can be read");
        }
        try
        {
            using JsonDocument document = JsonDocument.Parse(json, new JsonDocumentOptions { MaxDepth = MaxDepth });
            return read(new OciNode(document.RootElement, "").Object());
        }
        catch (JsonException e)
        {
            throw new OciConfigException($"configuration: no JSON: {e.Message}", e);
        }
        catch (InvalidOperationException e)
        {
            throw new OciConfigException("configuration: a name in it is not Unicode", e);
        }
    }

    private static Spec Spec(OciNode node) => new()
    {
        Version = node.Text("ociVersion"),
        Process = node.Child("process", Process),
        Root = node.Child("root", root => new Root { Path = root.Text("path"), Readonly = root.Bool("readonly") }),
        Hostname = node.Text("hostname"),
        Mounts = node.Children("mounts", mount => new Mount
        {
            Destination = mount.Text("destination"),
            Source = mount.Text("source"),
            Type = mount.Text("type"),
            Options = mount.Texts("options"),
        }),
        Hooks = node.Child("hooks", hooks => new Hooks
        {
            Prestart = hooks.Children("prestart", Hook),
            Poststart = hooks.Children("poststart", Hook),
            Poststop = hooks.Children("poststop", Hook),
            CreateRuntime = hooks.Children("createRuntime", Hook),
            CreateContainer = hooks.Children("createContainer", Hook),
            StartContainer = hooks.Children("startContainer", Hook),
        }),
        Annotations = node.Map("annotations"),
        Linux = node.Child("linux", OciLinuxSection.Read),
    };

    private static Process Process(OciNode node) => new()
    {
        Terminal = node.Bool("terminal"),
        ConsoleSize = node.Child("consoleSize", size => new Box { Height = size.UInt32("height"), Width = size.UInt32("width") }),
        User = node.Child("user", user => new User
        {
            Uid = user.UInt32("uid"),
            Gid = user.UInt32("gid"),
            AdditionalGids = user.UInt32s("additionalGids"),
            Username = user.Text("username"),
        }) ?? new User(),
        Args = node.Texts("args"),
        Env = node.Texts("env"),
        Cwd = node.Text("cwd"),
        Capabilities = node.Child("capabilities", sets => new LinuxCapabilities
        {
            Bounding = sets.Texts("bounding"),
            Effective = sets.Texts("effective"),
            Inheritable = sets.Texts("inheritable"),
            Permitted = sets.Texts("permitted"),
            Ambient = sets.Texts("ambient"),
        }),
        Rlimits = node.Children("rlimits", limit => new POSIXRlimit { Type = limit.Text("type"), Hard = limit.UInt64("hard"), Soft = limit.UInt64("soft") }),
        NoNewPrivileges = node.Bool("noNewPrivileges"),
        ApparmorProfile = node.Text("apparmorProfile"),
        OomScoreAdj = node.Int64("oomScoreAdj"),
        SelinuxLabel = node.Text("selinuxLabel"),
    };

    private static Hook Hook(OciNode node) => new()
    {
        Path = node.Text("path"),
        Args = node.Texts("args"),
        Env = node.Texts("env"),
        Timeout = node.Int64("timeout"),
    };
}
