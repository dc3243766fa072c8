using Cnvm.Shim.Messages;
using Cnvm.Shim.Tests.Harness;
using Cnvm.Ttrpc;

namespace Cnvm.Shim.Tests;

/// <summary>stdin, stdout and stderr with the traps that containerd's clients set.</summary>
public sealed class StreamTests
{
    [Fact]
    public async Task Streams_without_names_hold_up_nobody()
    {
        await using ShimHarness shim = await ShimHarness.StartAsync();
        // More than a pipe holds, so that somebody has to read it.
        await shim.RunAsync("c1", "cat; head -c 1000000 /dev/zero; head -c 1000000 /dev/zero >&2; exit 4");
        Assert.Equal(4u, (await shim.Client.WaitAsync("c1")).ExitStatus);
        await shim.Client.DeleteAsync("c1");
    }

    [Fact]
    public async Task Input_ends_when_it_is_closed_and_not_when_a_client_leaves()
    {
        await using ShimHarness shim = await ShimHarness.StartAsync();
        string stdin = shim.MakeFifo();
        string stdout = shim.MakeFifo();
        Task<string> output = ShimHarness.ReadAllAsync(stdout);
        await shim.RunAsync("c1", "cat; echo end", new(stdin, stdout));

        await File.WriteAllTextAsync(stdin, "one\n");
        await File.WriteAllTextAsync(stdin, "two\n");
        await using (var third = new FileStream(stdin, FileMode.Open, FileAccess.Write, FileShare.ReadWrite, 0))
        {
            // What a client still has to say comes, although no more clients do.
            await shim.Client.CloseInputAsync("c1");
            third.Write("three\n"u8);
        }

        Assert.Equal(0u, (await shim.Client.WaitAsync("c1")).ExitStatus);
        await shim.Client.DeleteAsync("c1");
        Assert.Equal("one\ntwo\nthree\nend\n", await output);
    }

    [Fact]
    public async Task Output_goes_on_when_its_reader_goes_and_another_comes()
    {
        await using ShimHarness shim = await ShimHarness.StartAsync();
        string stdin = shim.MakeFifo();
        string stdout = shim.MakeFifo();
        Task<string> first = Task.Run(() =>
        {
            using StreamReader reader = File.OpenText(stdout);
            return reader.ReadLine()!;
        });
        await shim.RunAsync("c1", "echo one; read x; echo two; read x", new(stdin, stdout));
        Assert.Equal("one", await first.WaitAsync(ShimHarness.Patience));

        await File.WriteAllTextAsync(stdin, "\n");
        Task<string> second = Task.Run(() =>
        {
            using StreamReader reader = File.OpenText(stdout);
            return reader.ReadLine()!;
        });
        Assert.Equal("two", await second.WaitAsync(ShimHarness.Patience));
        await File.WriteAllTextAsync(stdin, "\n");
        Assert.Equal(0u, (await shim.Client.WaitAsync("c1")).ExitStatus);
        await shim.Client.DeleteAsync("c1");
    }

    [Fact]
    public async Task Output_that_nobody_reads_keeps_no_container_from_being_deleted()
    {
        await using ShimHarness shim = await ShimHarness.StartAsync();
        string stdout = shim.MakeFifo();
        await shim.RunAsync("c1", "exec head -c 10000000 /dev/zero", new(null, stdout));
        await shim.Client.KillAsync("c1", Native.SigKill);
        await shim.Client.WaitAsync("c1");
        await shim.Client.DeleteAsync("c1");
    }

    [Fact]
    public async Task An_end_is_told_when_a_slow_client_has_read_all()
    {
        const int Bytes = 200_000;
        await using ShimHarness shim = await ShimHarness.StartAsync();
        string stdout = shim.MakeFifo();
        Task<FileStream> opening = OpenAsync(stdout);
        await shim.RunAsync("c1", $"exec head -c {Bytes} /dev/zero", new(null, stdout));
        Task<WaitResponse> wait = shim.Client.WaitAsync("c1");
        byte[] buffer = new byte[32 << 10];
        await using (FileStream output = await opening)
        {
            for (int read = 0; read < Bytes;)
            {
                // All of it takes longer than a client has that does not read at all.
                await Task.Delay(400);
                Assert.False(wait.IsCompleted, $"{Bytes - read} bytes would be lost");
                if (Bytes - read <= buffer.Length)
                {
                    // The process is long gone, which only its clients do not know yet.
                    Assert.Equal(TtrpcCode.NotFound, await ShimHarness.CodeOfAsync(shim.Client.KillAsync("c1", Native.SigTerm)));
                    Assert.Equal(ProcessStatus.Running, (await shim.Client.StateAsync("c1")).Status);
                }

                read += output.Read(buffer, 0, Math.Min(buffer.Length, Bytes - read));
            }

            Assert.Equal(0u, (await wait).ExitStatus);
            Assert.Equal(0, await Task.Run(() => output.Read(buffer)).WaitAsync(ShimHarness.Patience));
        }

        await shim.Containerd.WaitForAsync(3);
        Assert.Equal("/tasks/exit", shim.Containerd.Topics[2]);
        await shim.Client.DeleteAsync("c1");
    }

    [Fact]
    public async Task An_end_is_told_although_a_client_never_reads_and_takes_nothing_from_it()
    {
        await using ShimHarness shim = await ShimHarness.StartAsync();
        string stdout = shim.MakeFifo();
        Task<FileStream> opening = OpenAsync(stdout);
        await shim.RunAsync("c1", "echo unread; exit 3", new(null, stdout));
        await using FileStream output = await opening;

        Assert.Equal(3u, (await shim.Client.WaitAsync("c1")).ExitStatus);
        await shim.Client.DeleteAsync("c1");

        Assert.Equal("unread\n", await Task.Run(() => new StreamReader(output).ReadToEnd()).WaitAsync(ShimHarness.Patience));
    }

    [Fact]
    public async Task A_client_that_is_late_finds_all()
    {
        await using ShimHarness shim = await ShimHarness.StartAsync();
        string stdout = shim.MakeFifo();
        await shim.RunAsync("c1", "exec head -c 100000 /dev/zero", new(null, stdout));
        Task<WaitResponse> wait = shim.Client.WaitAsync("c1");
        await Task.Delay(500);
        Assert.False(wait.IsCompleted);
        Assert.Equal(100_000, (await ShimHarness.ReadAllAsync(stdout)).Length);
        Assert.Equal(0u, (await wait).ExitStatus);
        await shim.Client.DeleteAsync("c1");
    }

    [Fact]
    public async Task Clients_that_are_gone_hold_no_end_up()
    {
        const int Processes = 10;
        await using ShimHarness shim = await ShimHarness.StartAsync();
        await shim.RunAsync("c1", "exec sleep 1000");
        long began = System.Diagnostics.Stopwatch.GetTimestamp();
        for (int i = 0; i < Processes; i++)
        {
            // One leaves bytes in the FIFO, the next one more than it holds.
            string stdout = shim.MakeFifo();
            Task<FileStream> opening = OpenAsync(stdout);
            string command = i % 2 == 0 ? "echo one; echo two" : "exec head -c 1000000 /dev/zero";
            await shim.Client.ExecAsync("c1", $"e{i}", ShimHarness.Process(command).ToJsonString(), new(null, stdout));
            await using (FileStream output = await opening)
            {
                await shim.Client.StartAsync("c1", $"e{i}");
                Assert.Equal(1, await Task.Run(() => output.Read(new byte[1])).WaitAsync(ShimHarness.Patience));
            }

            if (i % 2 != 0)
            {
                // It waits for somebody who reads: nobody does.
                await shim.Client.KillAsync("c1", Native.SigKill, $"e{i}");
            }

            await shim.Client.WaitAsync("c1", $"e{i}");
            await shim.Client.DeleteAsync("c1", $"e{i}");
        }

        // A client that does not read costs two seconds each.
        Assert.InRange(System.Diagnostics.Stopwatch.GetElapsedTime(began), TimeSpan.Zero, TimeSpan.FromSeconds(Processes));
    }

    [Fact]
    public async Task An_end_is_told_although_somebody_else_keeps_the_output_open()
    {
        await using ShimHarness shim = await ShimHarness.StartAsync();
        string stdout = shim.MakeFifo();
        Task<FileStream> opening = OpenAsync(stdout);
        await shim.RunAsync("c1", "sleep 1000 & echo $!; exit 3", new(null, stdout));
        using var output = new StreamReader(await opening);
        int sleeping = int.Parse((await Task.Run(output.ReadLine).WaitAsync(ShimHarness.Patience))!);

        Assert.Equal(3u, (await shim.Client.WaitAsync("c1")).ExitStatus);

        Assert.Equal(0, Native.Kill(sleeping, Native.SigKill));
        await shim.Client.DeleteAsync("c1");
        Assert.Equal("", await Task.Run(output.ReadToEnd).WaitAsync(ShimHarness.Patience));
    }

    [Fact]
    public async Task A_process_that_cannot_be_started_has_ended_and_so_has_its_output()
    {
        await using ShimHarness shim = await ShimHarness.StartAsync();
        await shim.RunAsync("c1", "exec sleep 1000");
        string stdout = shim.MakeFifo();
        await shim.Client.ExecAsync("c1", "e1", "{}", new(null, stdout));
        await using FileStream output = File.OpenRead(stdout);

        await Assert.ThrowsAsync<TtrpcException>(() => shim.Client.StartAsync("c1", "e1"));

        Assert.Equal(0, await Task.Run(() => output.Read(new byte[1])).WaitAsync(ShimHarness.Patience));
        Assert.Equal(ProcessStatus.Stopped, (await shim.Client.StateAsync("c1", "e1")).Status);
        Assert.Equal(255u, (await shim.Client.DeleteAsync("c1", "e1")).ExitStatus);
        Assert.Equal(ProcessStatus.Running, (await shim.Client.StateAsync("c1")).Status);
    }

    [Fact]
    public async Task A_terminal_has_one_output_and_a_size()
    {
        await using ShimHarness shim = await ShimHarness.StartAsync();
        string stdin = shim.MakeFifo();
        string stdout = shim.MakeFifo();
        Task<string> output = ShimHarness.ReadAllAsync(stdout);
        await shim.CreateAsync("c1", "echo out; echo err >&2; read x", new(stdin, stdout), terminal: true);
        var size = new ResizePtyRequest { Id = "c1", Width = 132, Height = 50 };
        await shim.Client.CallAsync<ResizePtyRequest, Empty>("ResizePty", size);
        await shim.Client.StartAsync("c1");
        await shim.Client.CallAsync<ResizePtyRequest, Empty>("ResizePty", size);

        ProcessOfContainer process = shim.Factory.Sandboxes[0].Containers.Single().InitProcess;
        Assert.Equal((132u, 50u), process.Size);
        Assert.True((await shim.Client.StateAsync("c1")).Terminal);
        await File.WriteAllTextAsync(stdin, "\n");
        await shim.Client.WaitAsync("c1");
        await shim.Client.DeleteAsync("c1");
        Assert.Equal("out\nerr\n", await output);
        Assert.False(process.IsInputClosed);

        await shim.CreateAsync("c2", ":");
        Assert.Equal(TtrpcCode.FailedPrecondition, await ShimHarness.CodeOfAsync(shim.Client.CallAsync<ResizePtyRequest, Empty>("ResizePty", size with { Id = "c2" })));
    }

    [Fact]
    public async Task Output_may_go_to_a_file_and_to_nothing_that_the_shim_does_not_have()
    {
        await using ShimHarness shim = await ShimHarness.StartAsync("pod");
        string file = Path.Combine(shim.Directory, "log file");
        string address = new Uri(file).AbsoluteUri;
        await shim.CreateAsync("keeper", ":");
        for (int i = 0; i < 2; i++)
        {
            await shim.RunAsync("c1", "echo out; echo err >&2", new(null, address, address));
            await shim.Client.WaitAsync("c1");
            await shim.Client.DeleteAsync("c1");
        }

        Assert.Equal(["err", "err", "out", "out"], File.ReadAllLines(file).Order());
        Assert.Equal(TtrpcCode.InvalidArgument, await ShimHarness.CodeOfAsync(shim.CreateAsync("c2", ":", new(null, "http://host/log"))));
        Assert.Equal(TtrpcCode.InvalidArgument, await ShimHarness.CodeOfAsync(shim.CreateAsync("c2", ":", new(null, "", "binary:///bin/true"))));
        Assert.Equal(TtrpcCode.InvalidArgument, await ShimHarness.CodeOfAsync(shim.CreateAsync("c2", ":", new(null, "relative"))));
        Assert.Equal(TtrpcCode.NotFound, await ShimHarness.CodeOfAsync(shim.CreateAsync("c2", ":", new(null, shim.Directory + "/nothing"))));
    }

    /// <summary>Opens a FIFO as a client does: that waits until the shim has it, too.</summary>
    private static Task<FileStream> OpenAsync(string fifo) =>
        Task.Run(() => new FileStream(fifo, FileMode.Open, FileAccess.Read, FileShare.ReadWrite, 0)).WaitAsync(ShimHarness.Patience);
}
