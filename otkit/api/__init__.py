"""The public functions of otkit, one file each; `import otkit` fetches them when they are first asked for."""
