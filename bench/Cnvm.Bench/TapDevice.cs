using System.Diagnostics;

namespace Cnvm.Bench;

/// <summary>A TAP of this host without addresses: nothing that a guest sends goes anywhere. Removed by <see cref="Dispose"/>.</summary>
internal sealed class TapDevice : IDisposable
{
    private TapDevice(string name) => Name = name;

    public string Name { get; }

    /// <exception cref="UnavailableException">The host has no TAP devices, or this user may not make one.</exception>
    public static TapDevice Create()
    {
        string name = $"cnvmb{Environment.ProcessId % 1_000_000}";
        Ip("tuntap", "add", "dev", name, "mode", "tap");
        return new TapDevice(name);
    }

    public void Dispose() => Ip("link", "delete", Name);

    private static void Ip(params string[] arguments)
    {
        try
        {
            using var ip = Process.Start(new ProcessStartInfo("ip", arguments) { RedirectStandardError = true })!;
            string error = ip.StandardError.ReadToEnd().Trim();
            ip.WaitForExit();
            if (ip.ExitCode != 0)
            {
                throw new UnavailableException($"no TAP device: ip {string.Join(' ', arguments)}: {error}");
            }
        }
        catch (System.ComponentModel.Win32Exception e)
        {
            throw new UnavailableException($"no TAP device: ip does not run: {e.Message}");
        }
    }
}
