using Cnvm.Shim.Messages;
using Cnvm.Shim.Streams;
using Cnvm.Shim.Tests.Harness;
using Cnvm.Ttrpc;

namespace Cnvm.Shim.Tests;

/// <summary>Output that a program of the host takes (binary://), as log drivers do.</summary>
public sealed class LoggingProgramTests
{
    /// <summary>Writes its arguments, whose output it is, and that output, into the folder that it is given.</summary>
    private const string Logger =
        """
        #!/bin/sh
        test "$1" = folder || exit 2
        echo "$CONTAINER_NAMESPACE $CONTAINER_ID $#: $3 $4" >"$2/whose-$CONTAINER_ID"
        exec 5>&-
        cat <&4 >"$2/err-$CONTAINER_ID" &
        cat <&3 >"$2/out-$CONTAINER_ID"
        wait
        """;

    [Fact]
    public async Task A_program_takes_the_outputs_of_containers_and_further_processes()
    {
        await using ShimHarness shim = await ShimHarness.StartAsync("pod");
        string address = $"binary://{MakeProgram(shim, Logger)}?folder={Uri.EscapeDataString(shim.Directory)}&driver=two+words&driver=ignored";
        await shim.RunAsync("keeper", "exec sleep 1000");
        await shim.RunAsync("c1", "head -c 300000 /dev/zero | tr '\\0' x; echo err >&2", new(null, address, address));
        await shim.Client.ExecAsync("keeper", "e1", ShimHarness.Process("echo further").ToJsonString(), new(null, address, address));
        await shim.Client.StartAsync("keeper", "e1");
        await shim.Client.WaitAsync("keeper", "e1");
        await shim.Client.DeleteAsync("keeper", "e1");
        await shim.Client.WaitAsync("c1");
        await shim.Client.DeleteAsync("c1");

        // Delete has waited for the program, so all is there.
        Assert.Equal("test c1 4: driver two words\n", Read(shim, "whose-c1"));
        Assert.Equal(("err\n", 300000), (Read(shim, "err-c1"), Read(shim, "out-c1").Length));
        Assert.Equal(("test e1 4: driver two words\n", "further\n", ""), (Read(shim, "whose-e1"), Read(shim, "out-e1"), Read(shim, "err-e1")));
    }

    [Fact]
    public async Task A_terminal_has_its_output_there_too()
    {
        await using ShimHarness shim = await ShimHarness.StartAsync();
        string address = $"binary://{MakeProgram(shim, Logger)}?folder={Uri.EscapeDataString(shim.Directory)}";
        await shim.RunAsync("c1", "echo out; echo err >&2", new(null, address), terminal: true);
        await shim.Client.WaitAsync("c1");
        await shim.Client.DeleteAsync("c1");
        Assert.Equal(("out\nerr\n", ""), (Read(shim, "out-c1"), Read(shim, "err-c1")));
    }

    [Fact]
    public async Task A_program_that_ends_early_costs_its_lines_and_not_the_container()
    {
        await using ShimHarness shim = await ShimHarness.StartAsync("pod");
        await shim.RunAsync("c1", "head -c 1000000 /dev/zero; exit 5", new(null, "binary:///bin/true", "binary:///bin/true"));
        Assert.Equal(5u, (await shim.Client.WaitAsync("c1")).ExitStatus);
        await shim.Client.DeleteAsync("c1");
    }

    [Fact]
    public async Task A_program_that_ends_at_nothing_but_a_signal_gets_one()
    {
        await using ShimHarness shim = await ShimHarness.StartAsync();
        string ended = Path.Combine(shim.Directory, "ended");
        string address = $"binary://{MakeProgram(shim, $"#!/bin/sh\nexec 5>&-\ntrap 'echo >{ended}; exit 0' TERM\nwhile :; do sleep 0.1; done\n")}";
        await shim.RunAsync("c1", "echo out", new(null, address));
        await shim.Client.WaitAsync("c1");
        await shim.Client.DeleteAsync("c1");
        Assert.True(File.Exists(ended));
    }

    [Fact]
    public async Task What_is_no_program_is_refused_and_leaves_nothing()
    {
        await using ShimHarness shim = await ShimHarness.StartAsync();
        Assert.Equal(TtrpcCode.InvalidArgument, await ShimHarness.CodeOfAsync(shim.CreateAsync("c1", ":", new(null, "binary://relative/path"))));
        Assert.Equal(TtrpcCode.NotFound, await ShimHarness.CodeOfAsync(shim.CreateAsync("c1", ":", new(null, $"binary://{shim.Directory}/nothing"))));
        Assert.Equal(TtrpcCode.Unknown, await ShimHarness.CodeOfAsync(shim.CreateAsync("c1", ":", new(null, $"binary://{shim.Directory}"))));
        await shim.RunAsync("c1", "exit 3");
        Assert.Equal(3u, (await shim.Client.WaitAsync("c1")).ExitStatus);
    }

    [Theory]
    [InlineData("binary:///bin/log", "/bin/log", "")]
    [InlineData("binary:///a%20b/log?x=1&y&z=a%3Db=c&x=2#part", "/a b/log", "x|1|y||z|a=b=c")]
    public void Addresses_name_a_program_and_its_arguments(string address, string path, string arguments)
    {
        (string foundPath, IReadOnlyList<string> found) = LoggingProgram.Parse(address);
        Assert.Equal((path, arguments), (foundPath, string.Join('|', found)));
    }

    private static string MakeProgram(ShimHarness shim, string script)
    {
        string path = Path.Combine(shim.Directory, "logger");
        File.WriteAllText(path, script.ReplaceLineEndings("\n"));
        File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserExecute);
        return path;
    }

    private static string Read(ShimHarness shim, string name) => File.ReadAllText(Path.Combine(shim.Directory, name));
}
