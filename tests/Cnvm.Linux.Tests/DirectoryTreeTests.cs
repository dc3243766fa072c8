namespace Cnvm.Linux.Tests;

public sealed class DirectoryTreeTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("cnvm-tree-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task Renames_without_a_pause_do_not_keep_a_walk_going_for_ever()
    {
        // Each .. looks whether something was renamed since the walk began; so many of them take longer than a rename.
        string far = string.Concat(Enumerable.Repeat("d/../", 800)) + "f";
        Directory.CreateDirectory(Path.Combine(_folder, "d"));
        File.WriteAllText(Path.Combine(_folder, "f"), "found");
        Directory.CreateDirectory(Path.Combine(_folder, "a"));
        using var stop = new CancellationTokenSource();
        Task renaming = Task.Run(() =>
        {
            while (!stop.IsCancellationRequested)
            {
                Directory.Move(Path.Combine(_folder, "a"), Path.Combine(_folder, "b"));
                Directory.Move(Path.Combine(_folder, "b"), Path.Combine(_folder, "a"));
            }
        });
        using DirectoryTree tree = DirectoryTree.Open(_folder);
        try
        {
            for (int i = 0; i < 50; i++)
            {
                Exception? e = await Task.Run(() => Record.Exception(() => tree.TryOpenFile(far)?.Dispose())).WaitAsync(TimeSpan.FromSeconds(60));
                if (e is not null)
                {
                    LinuxException tired = Assert.IsType<LinuxException>(e);
                    Assert.Equal(Errno.EAGAIN, tired.Errno);
                    Assert.Contains("renames files", tired.Message, StringComparison.Ordinal);
                }
            }
        }
        finally
        {
            await stop.CancelAsync();
            await renaming;
        }

        using Microsoft.Win32.SafeHandles.SafeFileHandle? found = tree.TryOpenFile(far);
        Assert.NotNull(found);
        Assert.Equal(_folder, tree.RealPath);
    }

    [Fact]
    public void A_file_that_keeps_the_end_goes_on_where_it_was()
    {
        string path = Path.Combine(_folder, "log");
        using (var first = new TailFile(path, TailFile.LeastLimit))
        {
            first.Append("one\n"u8);
            first.Append(new byte[30_000]);
        }

        using (var second = new TailFile(path, TailFile.LeastLimit, keep: true))
        {
            second.Append("\ntwo\n"u8);
            Assert.Equal(30_009, new FileInfo(path).Length);
            second.Append(new byte[30_000]);
            second.Append(new byte[10_000]);
            second.Append("\nthree"u8);
        }

        Assert.Equal("two", File.ReadAllLines(path)[0]);
        Assert.EndsWith("three", File.ReadAllText(path), StringComparison.Ordinal);
        Assert.Throws<ArgumentOutOfRangeException>(() => new TailFile(path, 1));
    }
}
