namespace Cnvm.Cli;

/// <summary>Reads files whose size somebody else chose.</summary>
internal static class BoundedFile
{
    /// <exception cref="CliException">The file has more than <paramref name="limit"/> bytes, or cannot be opened.</exception>
    public static byte[] Read(string path, int limit)
    {
        try
        {
            using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
            return Read(file, limit);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new CliException(ExitCode.Failure, $"{path} cannot be read: {e.Message}");
        }
    }

    /// <summary>Reads from the file's beginning if it has one; a pipe is read to its end.</summary>
    /// <exception cref="CliException">The file has more than <paramref name="limit"/> bytes.</exception>
    public static byte[] Read(FileStream file, int limit)
    {
        if (file.CanSeek)
        {
            file.Position = 0;
        }

        // The length is not asked for: a pipe has none, and a file may grow.
        using var contents = new MemoryStream();
        byte[] part = new byte[64 << 10];
        int count;
        while ((count = file.Read(part)) > 0)
        {
            if (contents.Length + count > limit)
            {
                throw new CliException(ExitCode.Failure, $"{file.Name} has more than {limit} bytes");
            }

            contents.Write(part, 0, count);
        }

        return contents.ToArray();
    }
}
