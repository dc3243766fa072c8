using System.Text;
using System.Text.RegularExpressions;
using Cnvm.Nested;

namespace Cnvm.Guest.Tests;

/// <summary>Somebody on the guest's network who holds one TCP connection with it (third-party.pl and answer.pl).</summary>
internal sealed partial class ThirdParty : IAsyncDisposable
{
    private readonly HostProcess _process;

    private ThirdParty(HostProcess process) => _process = process;

    /// <summary>Returns when the guest has taken the connection.</summary>
    /// <param name="host">Where it runs.</param>
    /// <param name="netns">Network namespace of the host that it is in.</param>
    /// <param name="guest">The guest's address.</param>
    /// <param name="port">Where the guest answers.</param>
    public static async Task<ThirdParty> ConnectAsync(GuestHost host, string netns, string guest, int port)
    {
        string program = Shell.Quote(Path.Combine(Repository.Root, "tests", "Cnvm.Guest.Tests", "Programs", "third-party.pl"));
        var third = new ThirdParty(await host.StartAsync($"exec ip netns exec {netns} perl {program} {guest} {port} 2>&1"));
        await third._process.WaitForAsync("CNVM-THIRD connected", GuestVm.Patience);
        return third;
    }

    /// <summary>What a command in the guest says, through the connection.</summary>
    public async Task<string> AskAsync(string command)
    {
        Match answer = await SayAsync($"! {command}", "CNVM-ANSWER ", Answer());
        string said = Encoding.UTF8.GetString(Convert.FromHexString(answer.Groups[2].Value)).Trim();
        Assert.True(answer.Groups[1].Value == "0", $"'{command}' in the guest: exit code {answer.Groups[1].Value}: {said}");
        return said;
    }

    /// <summary>The longest time without an answer, and how many came, since the last mark.</summary>
    public async Task<(int LongestMs, int Answers)> MarkAsync()
    {
        Match mark = await SayAsync("mark", "CNVM-MARK ", Mark());
        return (int.Parse(mark.Groups[1].Value), int.Parse(mark.Groups[2].Value));
    }

    /// <summary>Ends the connection when every byte has come back; returns what it says.</summary>
    public async Task<string> EndAsync()
    {
        Match end = await SayAsync("quit", "CNVM-THIRD done ", End());
        return end.Value;
    }

    public ValueTask DisposeAsync() => _process.DisposeAsync();

    private async Task<Match> SayAsync(string line, string answer, Regex form)
    {
        await _process.WriteAsync(line + "\n");
        await _process.WaitForAsync(answer, GuestVm.Patience);
        await _process.WaitForAsync(".", GuestVm.Patience);
        return form.Matches(_process.Output)[^1];
    }

    [GeneratedRegex(@"CNVM-ANSWER (\d+) (\w*)\.")]
    private static partial Regex Answer();

    [GeneratedRegex(@"CNVM-MARK longest_ms=(\d+) answers=(\d+)\.")]
    private static partial Regex Mark();

    [GeneratedRegex(@"CNVM-THIRD done .*\.")]
    private static partial Regex End();
}
