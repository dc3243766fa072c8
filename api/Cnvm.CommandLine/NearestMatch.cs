namespace Cnvm.CommandLine;

/// <summary>Finds what somebody probably meant.</summary>
internal static class NearestMatch
{
    /// <summary>The candidate that is nearest to <paramref name="word"/>; null if none is near.</summary>
    public static string? Find(string word, IEnumerable<string> candidates)
    {
        // A third of the letters may be wrong, at least one.
        int limit = Math.Max(1, word.Length / 3);
        string? best = null;
        foreach (string candidate in candidates)
        {
            int distance = Distance(word, candidate);
            if (distance <= limit)
            {
                limit = distance - 1;
                best = candidate;
            }
        }

        return best;
    }

    /// <summary>Levenshtein distance: insertions, deletions and replacements of single characters.</summary>
    private static int Distance(string a, string b)
    {
        int[] row = new int[b.Length + 1];
        for (int j = 0; j <= b.Length; j++)
        {
            row[j] = j;
        }

        for (int i = 1; i <= a.Length; i++)
        {
            int diagonal = row[0];
            row[0] = i;
            for (int j = 1; j <= b.Length; j++)
            {
                int replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
                diagonal = row[j];
                row[j] = Math.Min(replaced, Math.Min(row[j], row[j - 1]) + 1);
            }
        }

        return row[b.Length];
    }
}
