using System.Diagnostics;
using System.Text;
using System.Text.Json;
using Cnvm.Vmm;
using Cnvm.VmmProgram;
using Cnvm.CommandLine;
using Cnvm.VmmProgram.Logging;
using Microsoft.Extensions.Logging;

namespace Cnvm.Api.Tests;

/// <summary>Log lines and events as other programs read them.</summary>
public sealed class ProgramOutputTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("cnvm-output").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void Log_lines_have_cloud_hypervisors_form_and_levels_are_kept()
    {
        string path = Path.Combine(_folder, "log");
        using (var factory = new LineLoggerFactory(LogLevel.Information, new LogFormat(LogFormat.Default), path, Stopwatch.GetTimestamp()))
        {
            ILogger logger = factory.CreateLogger("api");
            Assert.False(logger.IsEnabled(LogLevel.Debug));
#pragma warning disable CA1848, CA2254 // What is tested is the logger, not the messages of a product.
            logger.LogDebug("not told");
            logger.LogInformation("told");
            logger.LogError(new VmmException(VmmErrorKind.Internal, "outer", new IOException("inner")), "failed");
#pragma warning restore CA1848, CA2254
        }

        string[] lines = File.ReadAllLines(path);
        Assert.Equal(2, lines.Length);
        Assert.Matches("^cnvm-vmm: [0-9]+\\.[0-9]{6}s: <.+> INFO:api -- told$", lines[0]);
        Assert.EndsWith("ERROR:api -- failed: outer: inner", lines[1], StringComparison.Ordinal);
    }

    [Fact]
    public void The_format_can_be_chosen_and_wrong_placeholders_are_refused()
    {
        Assert.Equal(
            "[ERROR] x: m end\n", new LogFormat("[{level}] {location}: {msg} end").Line(TimeSpan.Zero, LogLevel.Critical, "x", "m", null));
        Assert.Contains("{lvl}", Assert.Throws<CommandLineException>(() => new LogFormat("{lvl}")).Message, StringComparison.Ordinal);
        Assert.Throws<CommandLineException>(() => new LogFormat("a {msg"));
    }

    [Fact]
    public void A_defect_is_logged_with_its_place()
    {
        var format = new LogFormat("{msg}");
        try
        {
            throw new InvalidOperationException("defect");
        }
        catch (InvalidOperationException e)
        {
            Assert.Contains(nameof(A_defect_is_logged_with_its_place), format.Line(TimeSpan.Zero, LogLevel.Error, "x", "m", e), StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Events_are_pretty_objects_with_an_empty_line_after_each()
    {
        string path = Path.Combine(_folder, "events");
        File.WriteAllText(path, new string('x', 10_000));
        using (var monitor = new EventMonitor(new PathOrFd(path, null), Stopwatch.GetTimestamp()))
        {
            monitor.Add(new VmmEvent("vmm", "starting"));
            monitor.Add(new VmmEvent("virtio-device", "activated", new Dictionary<string, string> { ["id"] = "_disk0" }));
        }

        string[] objects = File.ReadAllText(path).Split("\n\n");
        Assert.Equal(3, objects.Length);
        Assert.Equal("", objects[2]);
        JsonElement second = JsonDocument.Parse(objects[1]).RootElement;
        Assert.Equal("_disk0", second.GetProperty("properties").GetProperty("id").GetString());
        Assert.Equal(
            """
            {
              "timestamp": {
                "secs": 3,
                "nanos": 500000000
              },
              "source": "vm",
              "event": "booted",
              "properties": null
            }


            """,
            Encoding.UTF8.GetString(EventMonitor.Format(new VmmEvent("vm", "booted"), TimeSpan.FromSeconds(3.5))));
    }

    [Fact]
    public void A_reader_that_does_not_read_holds_up_nobody()
    {
        using var pipe = new System.IO.Pipes.AnonymousPipeServerStream(System.IO.Pipes.PipeDirection.In);
        int fd = (int)pipe.ClientSafePipeHandle.DangerousGetHandle();
        pipe.ClientSafePipeHandle.SetHandleAsInvalid();
        var watch = Stopwatch.StartNew();
        using (var monitor = new EventMonitor(new PathOrFd(null, fd), Stopwatch.GetTimestamp()))
        {
            for (int i = 0; i < 20_000; i++)
            {
                monitor.Add(new VmmEvent("vm", "booted"));
            }
        }

        Assert.True(watch.Elapsed < TimeSpan.FromSeconds(10), $"took {watch.Elapsed}");
    }
}
