using System.Diagnostics;

namespace Cnvm.Sandbox.Tests.Support;

/// <summary>A network namespace with a name, as container engines make them for pods; removed at the end.</summary>
internal sealed class PodNamespace : IDisposable
{
    private static int s_count;
    private readonly string _name = $"cnvm-pod-{Environment.ProcessId}-{Interlocked.Increment(ref s_count)}";

    /// <param name="commands">Of ip(8), in the namespace.</param>
    public PodNamespace(params string[] commands)
    {
        Skip.IfNot(Environment.IsPrivilegedProcess, "only root can make a network namespace");
        Skip.IfNot(Environment.GetEnvironmentVariable("PATH")!.Split(':').Any(d => System.IO.File.Exists(Path.Combine(d, "tc"))), "ip and tc are missing (iproute2)");
        Run("ip", $"netns add {_name}");
        try
        {
            foreach (string command in commands)
            {
                Ip(command);
            }
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    public string File => $"/run/netns/{_name}";

    /// <summary>Interfaces that have an ingress queueing discipline.</summary>
    public string[] Redirected =>
    [
        .. Tc("qdisc show").Split('\n', StringSplitOptions.RemoveEmptyEntries).Where(l => l.StartsWith("qdisc ingress", StringComparison.Ordinal)).Select(l => l.Split(' ')[4]),
    ];

    public string Ip(string arguments) => Run("ip", $"-n {_name} {arguments}");

    public string Tc(string arguments) => Run("tc", $"-n {_name} {arguments}");

    public void Dispose() => Run("ip", $"netns delete {_name}");

    private static string Run(string program, string arguments)
    {
        using Process process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        Task<string> error = process.StandardError.ReadToEndAsync();
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        Assert.True(process.ExitCode == 0, $"{program} {arguments}: {error.Result}");
        return output;
    }
}
