using Cnvm.GuestAgent.Stage;
using Cnvm.Linux;

namespace Cnvm.GuestAgent.Init;

/// <summary>Takes processors and memory into use that the host has added.</summary>
internal static class HotPlug
{
    private const string System = "/sys/devices/system";
    private const int WaitMilliseconds = 10_000;
    private const uint KernelEvents = 1;

    /// <param name="processors">How many should come online now; 0: those that are there.</param>
    /// <param name="waits">Wait for them, ten seconds at most.</param>
    /// <exception cref="StageException">They have not come.</exception>
    /// <exception cref="IOException">The kernel refuses one.</exception>
    public static void BringOnline(uint processors, bool processorsOnly, bool waits)
    {
        using var events = new NetlinkSocket(NetlinkSocket.NETLINK_KOBJECT_UEVENT, KernelEvents);
        byte[] announcement = new byte[1 << 13];
        long deadline = Environment.TickCount64 + WaitMilliseconds;
        uint online = Turn("cpu");
        while (waits && online < processors)
        {
            int left = (int)(deadline - Environment.TickCount64);
            if (left <= 0 || Poll.Wait([new PollEntry { Fd = events.Fd, Events = PollEntry.In }], left) == 0)
            {
                throw new StageException($"{online} of {processors} processors have come within {WaitMilliseconds / 1000} seconds");
            }

            _ = events.Receive(announcement);
            online += Turn("cpu");
        }

        if (!processorsOnly)
        {
            _ = Turn("memory");
        }
    }

    private static uint Turn(string kind)
    {
        uint turned = 0;
        string folder = $"{System}/{kind}";
        if (!Directory.Exists(folder))
        {
            return 0;
        }

        foreach (string file in Directory.GetDirectories(folder, kind).Select(d => d + "/online").Where(File.Exists))
        {
            if (File.ReadAllText(file).Trim() == "0")
            {
                File.WriteAllText(file, "1");
                turned++;
            }
        }

        return turned;
    }
}
