from lorchestra.cli import main

main()
