using System.Globalization;
using Cnvm.GuestAgent.Stage;
using Cnvm.Linux;

namespace Cnvm.GuestAgent.Storages;

/// <summary>Finds disks that may only be coming.</summary>
internal static class BlockDevices
{
    private const int WaitMilliseconds = 10_000;
    private const uint KernelEvents = 1;

    /// <param name="source">A device node, or a PCI path: slots in hexadecimal, each perhaps with a function, from the root bus down (<c>02/03.0</c>).</param>
    /// <param name="systemFolder">Where sysfs is.</param>
    /// <returns>The device node.</returns>
    /// <exception cref="StageException">It is neither, or does not come within ten seconds.</exception>
    public static string Find(string source, string systemFolder)
    {
        Func<string?> look = source.StartsWith("/dev/", StringComparison.Ordinal) && !source.Contains("..", StringComparison.Ordinal)
            ? () => File.Exists(source) ? source : null
            : IsPciPath(source) ? () => NodeOf(source, systemFolder)
            : throw new StageException($"'{source}' is neither a device node below /dev nor a PCI path such as 02/03");
        // Whatever comes between the look and the wait has been announced here.
        using var events = new NetlinkSocket(NetlinkSocket.NETLINK_KOBJECT_UEVENT, KernelEvents);
        byte[] announcement = new byte[1 << 13];
        long deadline = Environment.TickCount64 + WaitMilliseconds;
        string? found;
        while ((found = look()) is null)
        {
            int left = (int)(deadline - Environment.TickCount64);
            if (left <= 0 || Poll.Wait([new PollEntry { Fd = events.Fd, Events = PollEntry.In }], left) == 0)
            {
                throw new StageException($"the disk {source} has not come within {WaitMilliseconds / 1000} seconds");
            }

            _ = events.Receive(announcement);
        }

        return found;
    }

    /// <summary>Number of a device node.</summary>
    /// <exception cref="StageException">The node's name is not in sysfs.</exception>
    public static (uint Major, uint Minor) NumberOf(string node, string systemFolder)
    {
        string path = $"{systemFolder}/class/block/{Path.GetFileName(node)}/dev";
        string[] numbers = File.Exists(path) ? File.ReadAllText(path).Trim().Split(':') : [];
        return numbers.Length == 2
            ? (uint.Parse(numbers[0], CultureInfo.InvariantCulture), uint.Parse(numbers[1], CultureInfo.InvariantCulture))
            : throw new StageException($"{node} is no disk");
    }

    private static bool IsPciPath(string path) =>
        path.Length is > 0 and <= 64 && path.Split('/').All(p => p.Length is > 0 and <= 4 && p.All(c => char.IsAsciiHexDigit(c) || c == '.'));

    private static string? NodeOf(string path, string systemFolder)
    {
        string folder = $"{systemFolder}/devices/pci0000:00";
        foreach (string part in path.Split('/'))
        {
            string[] numbers = part.Split('.');
            string name = $":{numbers[0].PadLeft(2, '0')}.{(numbers.Length > 1 ? numbers[1] : "0")}";
            if (!Directory.Exists(folder)
                || Directory.GetDirectories(folder).FirstOrDefault(d => d.EndsWith(name, StringComparison.OrdinalIgnoreCase)) is not { } next)
            {
                return null;
            }

            folder = next;
        }

        foreach (string driver in Directory.GetDirectories(folder, "virtio"))
        {
            string block = driver + "/block";
            if (Directory.Exists(block) && Directory.GetDirectories(block).FirstOrDefault() is { } disk)
            {
                string node = "/dev/" + Path.GetFileName(disk);
                return File.Exists(node) ? node : null;
            }
        }

        return null;
    }
}
