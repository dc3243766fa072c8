using System.Globalization;

namespace Cnvm.Bench.Machines;

/// <summary>
/// guest-images/payload: a guest without a kernel whose work runs at CPL 3, so that it runs at full speed also on a KVM that has no
/// hardware virtualisation behind it. It takes the time of its work itself, in TSC cycles.
/// </summary>
internal static class Payload
{
    /// <summary>Name among the guest images.</summary>
    public const string Image = "payload";

    /// <summary>The first thing it prints, whatever it is told to do.</summary>
    public const string FirstText = "payload: ";

    /// <summary>Printed when the work is done; from then on it runs without an exit until it is ended from outside.</summary>
    public const string IdleText = "payload: spin";

    private const string Idle = "console=e9 spin";

    /// <summary>Only prints <see cref="IdleText"/>.</summary>
    public const string Nothing = Idle;

    /// <summary>Byte writes to a port, then as many four-byte writes to an address, where no machine has anything.</summary>
    public static string Writes(int count) => $"exits={count} mmio={count} {Idle}";

    /// <summary>Reads from the virtio disk.</summary>
    /// <param name="device">Where the disk is: <c>pci</c> or <c>mmio:ADDRESS</c>.</param>
    public static string DiskReads(string device, int requests, int size, int depth, bool random) =>
        $"blk={device} requests={requests} size={size} depth={depth}{(random ? " random" : "")} {Idle}";

    /// <summary>Waits for the result of the work, a line such as <c>exits=100 cycles=8000</c>.</summary>
    /// <exception cref="MeasurementException">The guest said something else, or nothing.</exception>
    public static IReadOnlyDictionary<string, ulong> WaitForResult(Child child)
    {
        child.WaitFor(FirstText);
        string line = child.ReadLine();
        var result = new Dictionary<string, ulong>();
        foreach (string word in line.Split(' ', StringSplitOptions.RemoveEmptyEntries))
        {
            string[] parts = word.Split('=');
            if (parts.Length != 2 || !ulong.TryParse(parts[1], NumberStyles.None, CultureInfo.InvariantCulture, out ulong value))
            {
                throw new MeasurementException($"the payload failed: {line}");
            }

            result.Add(parts[0], value);
        }

        return result.ContainsKey("cycles") ? result : throw new MeasurementException($"the payload gave no result: {line}");
    }
}
