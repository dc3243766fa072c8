using System.Globalization;
using System.Text.Json.Serialization.Metadata;
using Cnvm.Api.Json;
using Cnvm.Cli.Output;
using Cnvm.Cli.Parsing;
using Cnvm.CommandLine;
using Cnvm.Vmm.Config;

namespace Cnvm.Cli.Commands;

/// <summary>The commands that add and remove devices. A device is written as in the flags of cnvm-vmm.</summary>
internal static class DeviceRequests
{
    private static readonly string[] PciKeys = ["id", "iommu", "pci_segment", "pci_device_id"];

    public static int AddDisk(Invocation invocation) =>
        Add(invocation, AsOperand(Flags.Disk, () => VmConfigArguments.ParseDisk(invocation.Operands[0])), ApiJsonContext.Default.DiskConfig);

    // Numbers of descriptors mean nothing to the VMM: they travel beside the request.
    public static int AddNet(Invocation invocation)
    {
        NetConfig net = AsOperand(Flags.Net, () => VmConfigArguments.ParseNet(invocation.Operands[0]));
        return Add(invocation, net with { Fds = null }, ApiJsonContext.Default.NetConfig, [.. net.Fds ?? []]);
    }

    public static int AddFs(Invocation invocation) =>
        Add(invocation, AsOperand(Flags.Fs, () => VmConfigArguments.ParseFs(invocation.Operands[0])), ApiJsonContext.Default.FsConfig);

    public static int AddPmem(Invocation invocation)
    {
        OptionString o = Parse(invocation, "file", "size", "discard_writes");
        return Add(
            invocation,
            new PmemConfig(
                Needed(o, "file"), o.Size("size"), o.Toggle("discard_writes"),
                o.Text("id"), o.Toggle("iommu"), o.UInt16("pci_segment") ?? 0, o.Byte("pci_device_id")),
            ApiJsonContext.Default.PmemConfig);
    }

    public static int AddVsock(Invocation invocation)
    {
        OptionString o = Parse(invocation, "cid", "socket");
        return Add(
            invocation,
            new VsockConfig(
                o.UInt32("cid") ?? throw Missing("cid"), Needed(o, "socket"),
                o.Text("id"), o.Toggle("iommu"), o.UInt16("pci_segment") ?? 0, o.Byte("pci_device_id")),
            ApiJsonContext.Default.VsockConfig);
    }

    public static int AddVdpa(Invocation invocation)
    {
        OptionString o = Parse(invocation, "path", "num_queues");
        return Add(
            invocation,
            new VdpaConfig(
                Needed(o, "path"), o.UInt16("num_queues") ?? 1,
                o.Text("id"), o.Toggle("iommu"), o.UInt16("pci_segment") ?? 0, o.Byte("pci_device_id")),
            ApiJsonContext.Default.VdpaConfig);
    }

    public static int AddUserDevice(Invocation invocation)
    {
        OptionString o = Parse(invocation, "socket");
        return Add(
            invocation,
            new UserDeviceConfig(Needed(o, "socket"), o.Text("id"), o.Toggle("iommu"), o.UInt16("pci_segment") ?? 0, o.Byte("pci_device_id")),
            ApiJsonContext.Default.UserDeviceConfig);
    }

    public static int AddDevice(Invocation invocation)
    {
        OptionString o = Parse(invocation, "path", "fd", "x_nv_gpudirect_clique", "x_exclude_mmap_bars");
        if (o.Has("path") == o.Has("fd"))
        {
            throw CliException.Usage("one of path= and fd= says which device");
        }

        var device = new DeviceConfig(
            o.Text("path"),
            null,
            (sbyte?)o.Number("x_nv_gpudirect_clique", (ulong)sbyte.MaxValue),
            o.Integers("x_exclude_mmap_bars")?.Select(n => (ulong)n).ToList(),
            o.Text("id"), o.Toggle("iommu"), o.UInt16("pci_segment") ?? 0, o.Byte("pci_device_id"));
        int[] descriptors = o.Number("fd", int.MaxValue) is { } fd ? [(int)fd] : [];
        return Add(invocation, device, ApiJsonContext.Default.DeviceConfig, descriptors);
    }

    public static int AddGenericVhostUser(Invocation invocation)
    {
        // The type has two names: the flag's, and the JSON key's.
        OptionString o = Parse(invocation, "virtio_id", "device_type", "socket", "queue_sizes");
        var sizes = new List<ushort>();
        foreach (uint size in o.Integers("queue_sizes") ?? [])
        {
            sizes.Add(size <= ushort.MaxValue
                ? (ushort)size
                : throw CliException.Usage(string.Create(CultureInfo.InvariantCulture, $"queue_sizes: no queue has {size} entries")));
        }

        return Add(
            invocation,
            new GenericVhostUserConfig(
                Needed(o, "socket"), sizes, o.UInt32("virtio_id") ?? o.UInt32("device_type") ?? throw Missing("virtio_id"),
                o.Text("id"), o.Toggle("iommu"), o.UInt16("pci_segment") ?? 0, o.Byte("pci_device_id")),
            ApiJsonContext.Default.GenericVhostUserConfig);
    }

    public static int Remove(Invocation invocation) =>
        RequestCommand.Send(invocation, "PUT", "vm.remove-device", JsonObject.Write(json => json.Text("id", invocation.Operands[0])));

    private static int Add<T>(Invocation invocation, T device, JsonTypeInfo<T> type, params ReadOnlySpan<int> descriptors) =>
        RequestCommand.Send(invocation, "PUT", "vm." + invocation.Command!.Name, JsonBody.Write(device, type), descriptors);

    private static OptionString Parse(Invocation invocation, params ReadOnlySpan<string> keys) =>
        new(invocation.Command!.Operands[0], invocation.Operands[0], [.. keys, .. PciKeys]);

    private static string Needed(OptionString options, string key) => options.Text(key) ?? throw Missing(key);

    private static CliException Missing(string key) => CliException.Usage($"{key}= is missing");

    /// <summary>The parser of a flag names that flag; here the text is the command's operand.</summary>
    private static T AsOperand<T>(string flag, Func<T> parse)
    {
        try
        {
            return parse();
        }
        catch (CommandLineException e) when (e.Message.StartsWith(flag + ": ", StringComparison.Ordinal))
        {
            throw CliException.Usage(e.Message[(flag.Length + 2)..]);
        }
    }
}
